// What every command prints: JSON, YAML or a table on standard output.
import { Option } from 'commander'
import { stringify } from 'yaml'

export type OutputFormat = 'json' | 'yaml' | 'table'

/** `-o json|yaml|table`; commands read it as `options.output`. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print the result').choices(['json', 'yaml', 'table']).default('table')
}

/** Prints `value` as JSON or YAML, or what `table` makes of it. */
export function print(value: unknown, format: OutputFormat, table: () => string): void {
  if (format === 'json') process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
  else if (format === 'yaml') process.stdout.write(stringify(value, { aliasDuplicateObjects: false }))
  else process.stdout.write(`${table()}\n`)
}

/** For people who would wonder why they see nothing; results alone go to standard output. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Columns as wide as their widest cell, two spaces apart, no space at a line's end. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return alignColumns([header, ...rows])
}

/** "name:  value" lines of one item; empty values are left out. */
export function formatDetails(details: readonly (readonly [name: string, value: string])[]): string {
  return alignColumns(details.filter(([, value]) => value !== '').map(([name, value]) => [`${name}:`, value]))
}

/** A value of several lines goes on in its own column. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  const lines = rows.flatMap(splitCells)
  const columns = Math.max(0, ...lines.map((line) => line.length))
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)))
  return lines.map((line) => line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd()).join('\n')
}

function splitCells(row: readonly string[]): string[][] {
  const cells = row.map((cell) => cell.split('\n'))
  const height = Math.max(...cells.map((cell) => cell.length))
  return Array.from({ length: height }, (_, line) => cells.map((cell) => cell[line] ?? ''))
}
