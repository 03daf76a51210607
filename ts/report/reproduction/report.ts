import { counted } from '../../common/counted.js';
import type { TableFile } from '../../metrics/table_file.js';
import type { ReproductionData } from '../read/reproduction.js';
import { assemble, type Report } from '../report.js';
import { reproductionSections } from './page.js';
import { reproductionTables } from './tables.js';

/** The report of a reproduction that has been read; writes nothing. */
export function reproductionReport(data: ReproductionData): Report<TableFile> {
  const { table } = data;
  const tables = reproductionTables(table);
  const { title, profile, seeds, primary, protocol, warnings } = table;
  return assemble({
    title,
    headline: `Table ${table.table}, profile ${profile}, ${counted(seeds.length, 'training seed')}.`,
    sections: reproductionSections(data, tables),
    results: table,
    preface: [...(primary === null ? [] : [primary.declared, primary.conclusion]), ...protocol, ...warnings],
    tables,
    main: tables,
  });
}
