/** The page's style sheet: system fonts, one measure, colours as variables for light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #ffffff; --ink: #22252a; --soft: #6b7079; --rule: #e3e4e0; --accent: #0b6e6e;
  --mark: #eef5ee;
  --stage-0: #8a8f98; --stage-1: #b98a2f; --stage-2: #3b7dd8; --stage-3: #8e59c0; --stage-4: #d1495b;
  --stage-5: #2a9d8f; --stage-6: #e07b39; --stage-7: #4f5d75;
  --phase-0: #3b7dd8; --phase-1: #9db4d3; --phase-2: #d9a441; --phase-3: #e8cf9a; --phase-4: #8e59c0;
  --phase-5: #2a9d8f; --phase-6: #9fd0c9; --phase-7: #d1495b; --phase-8: #e6a5ad; --phase-9: #c9ccd1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17191c; --card: #1e2125; --ink: #e4e5e3; --soft: #9a9fa7; --rule: #33373d; --accent: #6cc5bd;
    --mark: #223029;
    --stage-0: #9aa0aa; --stage-1: #d8ac55; --stage-2: #6ea5f0; --stage-3: #b58ae0; --stage-4: #ef7686;
    --stage-5: #4fc3b3; --stage-6: #f09a60; --stage-7: #8d9bb5;
    --phase-0: #6ea5f0; --phase-1: #50647f; --phase-2: #d8ac55; --phase-3: #7d6a40; --phase-4: #b58ae0;
    --phase-5: #4fc3b3; --phase-6: #35655f; --phase-7: #ef7686; --phase-8: #7d474f; --phase-9: #565b63;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 76rem;
  background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
}
header { margin-bottom: 2.5rem; }
h1 { font-size: 1.9rem; font-weight: 650; margin: 0 0 .3rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; font-weight: 650; margin: 3rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; font-weight: 600; margin: 1.8rem 0 .5rem; }
p { max-width: 48rem; margin: .4rem 0; }
.soft, .note { color: var(--soft); }
.note { font-size: .87rem; }
nav a { color: var(--accent); text-decoration: none; margin-right: 1.1rem; }
nav a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .3rem 0 .5rem; }
th, td { padding: .38rem .9rem .38rem 0; text-align: left; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 500; color: var(--soft); font-size: .87rem; }
td + td, th + th { padding-left: .9rem; }
.right { text-align: right; }
td small { color: var(--soft); display: inline-block; min-width: 2.9rem; margin-left: .15rem; }
td.strong { background: var(--mark); }
td.strong b { color: var(--accent); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .87rem; color: var(--soft); margin: .5rem 0; padding: .3rem 0; }
.legend.sticky { position: sticky; top: 0; background: var(--paper); z-index: 1; }
.swatch { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; margin-right: .4rem; vertical-align: -1px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .8rem .8rem .4rem; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; }
figure.wide { max-width: 56rem; margin: 1rem 0; }
figcaption { font-size: .87rem; font-weight: 500; margin-bottom: .2rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
details { margin: .7rem 0; }
summary { cursor: pointer; font-weight: 500; }
pre, .text {
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 0;
}
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .9rem 1.1rem; max-height: 36rem; overflow: auto; }
.sample { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; margin: .8rem 0; padding: .2rem 1rem; }
.sample dl { display: grid; grid-template-columns: minmax(5rem, max-content) 1fr; gap: 0 1.2rem; margin: 0; }
.sample dt, .sample dd { margin: 0; padding: .45rem 0; border-top: 1px solid var(--rule); }
.sample dl > :nth-child(-n+2) { border-top: 0; }
.sample dt { color: var(--soft); font-size: .87rem; }
.sample .same { color: var(--accent); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.5rem; font-size: .9rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { padding: 1.2rem .9rem 3rem; }
  .facts, .sample dl { grid-template-columns: 1fr; }
  .sample dd { border-top: 0; padding-top: 0; }
}
@media print { .legend.sticky { position: static; } details:not([open]) { display: none; } }
`;
