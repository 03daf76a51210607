/**
 * A value that the code before has seen to, where the types cannot say so.
 *
 * @param what names it, with where it should be: `dataset train in a plan`
 * @throws RangeError where it is not there
 */
export function present<Value>(value: Value, what: string): NonNullable<Value> {
  if (value === undefined || value === null) throw new RangeError(`there is no ${what}`);
  return value;
}
