/** What is used of jstat, which brings no types. */
declare module 'jstat' {
  const jstat: {
    /** Student's t distribution. */
    readonly studentt: {
      /** The value below which lies the share `p` of the distribution with `dof` degrees of freedom. */
      inv(p: number, dof: number): number;
    };
    /** The p value of `values` against the mean `expected`; NaN where they are all equal. */
    ttest(expected: number, values: readonly number[], sides: 1 | 2): number;
  };
  export default jstat;
}
