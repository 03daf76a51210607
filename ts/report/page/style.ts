import { declarations } from '../charts/palette.js';

/** The page's style sheet: system fonts, one measure, colours as variables for light and dark. */
export const STYLE = `
:root { color-scheme: light dark; ${declarations('light')} }
@media (prefers-color-scheme: dark) { :root { ${declarations('dark')} } }
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
td details { margin: 0; width: 20rem; white-space: normal; text-align: left; overflow-wrap: anywhere; }
td summary { font-weight: 400; }
td.strong b { color: var(--accent); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .87rem; color: var(--soft); margin: .5rem 0; padding: .3rem 0; }
.legend.sticky { position: sticky; top: 0; background: var(--paper); z-index: 1; }
.swatch { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; margin-right: .4rem; vertical-align: -1px; }
.swatch.line { width: 1.4rem; height: .2rem; border-radius: 0; vertical-align: .2rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }
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
.sample { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; margin: .8rem 0; padding: .7rem 1rem .3rem; }
.sample dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(13rem, 100%), 1fr)); gap: 0 1.4rem; margin: .5rem 0 0; }
.sample dl > div { border-top: 1px solid var(--rule); padding: .4rem 0 .5rem; }
.sample dt { color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
.sample dd { margin: 0; }
.sample .same { color: var(--accent); }
.primary { background: var(--card); border: 1px solid var(--rule); border-left: 3px solid var(--accent); border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0; }
.warning { border-left: 3px solid var(--series-6); padding-left: .8rem; }
li { max-width: 48rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.5rem; font-size: .9rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { padding: 1.2rem .9rem 3rem; }
  .facts { grid-template-columns: 1fr; }
  figure.wide { overflow-x: auto; }
  figure.wide svg { min-width: 38rem; }
}
@media print { .legend.sticky { position: static; } details:not([open]) { display: none; } }
`;
