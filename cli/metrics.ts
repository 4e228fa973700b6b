// `sluice metrics`: the agent's Prometheus metrics, as they are scraped or as a table.
import { Option } from 'commander'
import type { Command } from 'commander'
import { agentOf, examples } from './command.ts'
import { CliError } from './errors.ts'
import { formatTable, note, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface MetricsOptions {
  readonly output: OutputFormat | 'prometheus'
  readonly all?: true
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export function register(program: Command): void {
  program
    .command('metrics')
    .description("the agent's metrics")
    .argument('[name]', 'only metrics whose name contains this')
    .option('--all', 'in the table, also counters of what never happened')
    .addOption(
      new Option('-o, --output <format>', 'how to print them').choices(['table', 'json', 'yaml', 'prometheus']).default('table'),
    )
    .addHelpText(
      'after',
      examples(
        ['sluice metrics datapath', 'what the datapath did, by reason'],
        ['sluice metrics -o prometheus', 'the text that Prometheus scrapes'],
      ),
    )
    .action(metrics)
}

async function metrics(name: string | undefined, { output, all }: MetricsOptions, command: Command): Promise<void> {
  const text = await agentOf(command).text('/v1/metrics')
  const wanted = (metric: string) => name === undefined || metric.includes(name)
  const samples = parseMetrics(text).filter((sample) => wanted(sample.name))
  if (samples.length === 0) throw new CliError(`no metric has "${name ?? ''}" in its name: \`sluice metrics --all\` lists those that there are`)
  if (output === 'prometheus') {
    const lines = text.split('\n').filter((line) => wanted(metricOf(line)))
    process.stdout.write(`${lines.join('\n').trimEnd()}\n`)
    return
  }
  const shown = samples.filter((sample) => all === true || !isIdleCounter(sample))
  if (shown.length === 0 && output === 'table') return note('every counter of that name is 0: --all shows them')
  print(samples, output, () => formatTable(['METRIC', 'LABELS', 'VALUE'], shown.map(row)))
}

/** A zero of a gauge says something, one of a counter does not. */
function isIdleCounter({ name, value }: Sample): boolean {
  return name.endsWith('_total') && value === 0
}

/** Of a sample or of a "# HELP" or "# TYPE" line. */
function metricOf(line: string): string {
  return /^(?:# (?:HELP|TYPE) )?([a-zA-Z_:][\w:]*)/.exec(line)?.[1] ?? ''
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)",?/g

/** Samples of Prometheus' text format (exposition format 0.0.4). Throws CliError at a line that is none. */
export function parseMetrics(text: string): readonly Sample[] {
  return text.split('\n').flatMap((line) => (line === '' || line.startsWith('#') ? [] : [parseSample(line)]))
}

function parseSample(line: string): Sample {
  const [, name, labels = '', value] = SAMPLE.exec(line) ?? []
  if (name === undefined || value === undefined) throw new CliError(`the agent's metrics have a line that is no sample: ${line}`)
  const pairs = [...labels.matchAll(LABEL)].map(([, key = '', text = '']) => [key, unescape(text)])
  return { name, labels: Object.fromEntries(pairs) as Record<string, string>, value: parseValue(value) }
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character))
}

function parseValue(text: string): number {
  if (text.endsWith('Inf')) return text.startsWith('-') ? -Infinity : Infinity
  return Number(text)
}

function row({ name, labels, value }: Sample): string[] {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}=${text}`)
  return [name, pairs.join(' '), String(value)]
}
