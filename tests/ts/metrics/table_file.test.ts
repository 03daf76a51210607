import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readTable, TABLE_FILE, TableFileError, writeTable } from '../../../ts/metrics/table_file.js';
import { makeCell, makeTable, makeTableRow } from './make_table.js';

const folder = (): string => mkdtempSync(join(tmpdir(), 'table-'));

describe('table.json', () => {
  test('what is written is read back', () => {
    const path = folder();
    writeTable(path, makeTable());
    expect(readTable(path)).toEqual(makeTable());
    expect(readFileSync(join(path, TABLE_FILE), 'utf8')).toMatch(/\n$/);
  });

  test.each(['dynamics', 'one of my own'])('by the name %s', (table) => {
    const path = folder();
    writeTable(path, makeTable({ table }));
    expect(readTable(path).table).toBe(table);
  });

  const primary = makeTable().primary;
  const refused = {
    'a figure that is not finite': makeTable({
      rows: [makeTableRow({ id: 'kd', cells: [makeCell({ mean: Number.NaN })] })],
    }),
    'two rows have one id': makeTable({ rows: [...makeTable().rows, makeTableRow({ id: 'kd' })] }),
    'row x has 2 cells for 1 columns': makeTable({
      rows: [...makeTable().rows, makeTableRow({ id: 'x', cells: [makeCell(), null] })],
    }),
    'there is no row x': makeTable({ curves: [{ row: 'x', seed: 1, folder: 'f', stage: 'student' }] }),
    'there is no row y': makeTable({ primary: primary && { ...primary, against: 'y' } }),
    'there is no column 3': makeTable({ primary: primary && { ...primary, column: 3 } }),
    'seeds and values differ in number': makeTable({
      rows: [...makeTable().rows, makeTableRow({ id: 'x', cells: [makeCell({ seeds: [1] })] })],
    }),
  };

  test.each(Object.entries(refused))('not written: %s', (reason, table) => {
    const path = folder();
    expect(() => writeTable(path, table)).toThrow(TableFileError);
    if (!reason.startsWith('a figure')) expect(() => writeTable(path, table)).toThrow(reason);
    expect(readdirSync(path)).toEqual([]);
  });

  test.each([
    ['{', /cannot read .*table\.json/],
    [JSON.stringify({ ...makeTable(), version: 2 }), /version/],
    [JSON.stringify({ ...makeTable(), colour: 'red' }), /colour/],
  ])('damaged, of another version or of other code: %#', (text, message) => {
    const path = folder();
    writeFileSync(join(path, TABLE_FILE), text);
    expect(() => readTable(path)).toThrow(message);
    expect(() => readTable(path)).toThrow(TableFileError);
  });

  test('a folder without one is named, with the remedy', () => {
    expect(() => readTable('/nowhere')).toThrow('/nowhere/table.json');
    try {
      readTable('/nowhere');
    } catch (error) {
      expect((error as TableFileError).hint).toContain('ammd reproduce');
    }
    expect.assertions(2);
  });
});
