// The import table: what each folder of ts/ may import, beside itself and common.
const TABLE = {
  common: [],
  config: [],
  plan: ['config'],
  schedule: ['config', 'plan'],
  wire: [],
  worker: ['wire'],
  dispatch: ['config', 'plan', 'schedule', 'wire'],
  metrics: [],
  run: ['config', 'plan', 'schedule', 'dispatch', 'wire', 'worker', 'metrics', 'bootstrap'],
  report: ['metrics'],
  store: ['config', 'plan', 'metrics', 'dispatch', 'run'],
  sweep: ['config', 'plan', 'metrics', 'run', 'store', 'report', 'worker'],
  reproduce: ['config', 'plan', 'metrics', 'run', 'store', 'report'],
};

const folders = Object.entries(TABLE).map(([folder, others]) => ({
  name: `${folder}-imports`,
  comment: `ts/${folder} may import only: ${['common', ...others].join(', ')}.`,
  severity: 'error',
  from: { path: `^ts/${folder}/` },
  to: { path: '^(ts|protocol|dist)/', pathNot: `^ts/(${[folder, 'common', ...others].join('|')})/` },
}));

// The same within a folder: what each of its subfolders may import of it, beside itself and errors.ts.
const WITHIN = {
  report: {
    formats: [],
    read: [],
    charts: ['formats', 'read'],
    page: ['formats', 'read', 'charts'],
    run: ['report', 'formats', 'read', 'charts', 'page'], // `report` is report.ts
    comparison: ['report', 'formats', 'read', 'charts', 'page'],
    reproduction: ['report', 'formats', 'read', 'charts', 'page', 'comparison'],
    sweep: ['report', 'formats', 'read', 'charts', 'page'],
  },
  run: {
    loaded: [],
    memory: [],
    folder: ['loaded'],
    rows: ['folder'],
    ending: ['folder'],
    workers: ['loaded', 'folder', 'ending'],
    saved: ['folder', 'rows', 'workers'],
    stage: ['loaded', 'memory', 'folder', 'rows', 'ending', 'workers', 'saved'],
    checks: ['loaded', 'memory', 'folder', 'workers', 'stage'],
  },
};

const subfolders = Object.entries(WITHIN).flatMap(([folder, table]) =>
  Object.entries(table).map(([subfolder, others]) => ({
    name: `${folder}-${subfolder}-imports`,
    comment: `ts/${folder}/${subfolder} may import of ts/${folder} only: ${['errors', ...others].join(', ')}.`,
    severity: 'error',
    from: { path: `^ts/${folder}/${subfolder}/` },
    to: {
      path: `^ts/${folder}/`,
      pathNot: `^ts/${folder}/(${[subfolder, 'errors', ...others].join('|')})(/|\\.ts$)`,
    },
  })),
);

/** One package, one folder: whoever wants to replace it has one place to look at. */
const only = (folder, packages) => ({
  name: `only-${folder}-imports-${packages.join('-')}`,
  comment: `${packages.join(' and ')} may be imported only in ts/${folder}.`,
  severity: 'error',
  from: { path: '^(ts|protocol)/', pathNot: `^ts/${folder}/` },
  to: { path: `(^|node_modules/)(${packages.join('|')})(/|$)` },
});

module.exports = {
  forbidden: [
    ...folders,
    ...subfolders,
    only('wire', ['zeromq', 'msgpackr']),
    only('worker', ['execa']),
    {
      name: 'bootstrap-needs-no-modules',
      comment: 'The bootstrap runs before anything is installed: Node itself and its own files only.',
      severity: 'error',
      from: { path: '^ts/bootstrap' },
      to: { pathNot: '^ts/bootstrap/', dependencyTypesNot: ['core'] },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'resolvable',
      comment: 'Examples name the package as users do.',
      severity: 'error',
      from: { pathNot: '^ts/examples/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-packages',
      comment: 'What a user installs has only `dependencies`.',
      severity: 'error',
      from: { path: '^(ts|protocol)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true, // imports of types count too
    parser: 'swc', // TypeScript 7 has no interface that this tool could use
  },
};
