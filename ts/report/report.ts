import type { Chart } from './charts/chart.js';
import { latexTables } from './formats/latex.js';
import { escapeMarkdown, markdownTable, type Table, textTable } from './formats/table.js';
import { renderDocument } from './page/document.js';
import type { Section } from './page/section.js';
import type { Results } from './run/results.js';

/** A report before anything is written. */
export interface Report<Figures = Results> {
  /** One self-contained page. */
  readonly html: string;
  readonly markdown: string;
  /** The same tables for a document with booktabs. */
  readonly latex: string;
  /** For programs. */
  readonly results: Figures;
  /** The main tables for a terminal. */
  readonly text: string;
  /** What the page draws, for files of their own. */
  readonly charts: readonly Chart[];
}

export interface ReportParts<Figures> {
  readonly title: string;
  readonly headline: string;
  readonly sections: readonly Section[];
  readonly results: Figures;
  /** Lines of Markdown above the tables, not escaped yet. */
  readonly preface: readonly string[];
  /** Tables for Markdown and LaTeX. */
  readonly tables: readonly Table[];
  /** The tables among them that a terminal shows. */
  readonly main: readonly Table[];
}

export function assemble<Figures>(parts: ReportParts<Figures>): Report<Figures> {
  const { title, headline, sections, results, preface, tables, main } = parts;
  const lines = preface.flatMap((line) => [escapeMarkdown(line), '']);
  return {
    html: renderDocument(title, headline, sections).text,
    markdown: [`# ${escapeMarkdown(title)}`, '', ...lines, ...tables.map(markdownTable)].join('\n'),
    latex: latexTables(tables),
    results,
    text: main.map(textTable).join('\n'),
    charts: sections.flatMap(({ charts }) => charts),
  };
}
