// What every command prints: JSON, YAML or a table on standard output, errors on standard error.
import { Option, type Command } from 'commander'
import { stringify } from 'yaml'

export type OutputFormat = 'json' | 'yaml' | 'table'

/** `-o json|yaml|table`; commands read it as `options.output`. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print the result').choices(['json', 'yaml', 'table']).default('table')
}

/** Prints `value` as JSON or YAML, or what `table` makes of it. */
export function print(value: unknown, format: OutputFormat, table: () => string): void {
  if (format === 'json') process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
  else if (format === 'yaml') process.stdout.write(stringify(value))
  else process.stdout.write(`${table()}\n`)
}

/** Columns as wide as their widest cell, two spaces apart, no space at a line's end. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
    .join('\n')
}

/** Ends the command: the message of `error` on standard error, exit status 1. */
export function fail(error: unknown): void {
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

/** The subcommand group `name`, made by whoever asks first, so that several files can add to it. */
export function group(program: Command, name: string, description: string): Command {
  return program.commands.find((command) => command.name() === name) ?? program.command(name).description(description)
}
