// The option --flows, and the file behind it.
import { once } from 'node:events'
import { createReadStream, type ReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { Option } from 'commander'
import { STANDARD_INPUT } from '../../manifests/files/index.ts'
import { readFlows, type FlowRecord } from '../../whatif/index.ts'
import { CliError } from '../errors.ts'
import { note } from '../output.ts'

export function flowsOption(): Option {
  return new Option('--flows <file>', 'what sluice observe -o jsonl printed, or - for standard input')
}

/** Throws CliError with the first lines that are no flow, if there are any. */
export async function readFlowRecord(path: string): Promise<FlowRecord> {
  const [file, input] = path === STANDARD_INPUT ? ['standard input', process.stdin] : [path, await opened(path)]
  const record = await readFlows(createInterface({ input }), file).catch((cause: unknown) => {
    throw unreadable(file, cause)
  })
  const faults = record.faults.map((fault) => `\n  ${fault}`)
  if (faults.length > 0) throw new CliError(`lines of the record are no flows:${faults.join('')}`)
  if (record.flows === 0) note(`${file} holds no flow`)
  return record
}

async function opened(path: string): Promise<ReadStream> {
  const stream = createReadStream(path)
  try {
    await once(stream, 'open')
  } catch (cause) {
    throw unreadable(path, cause)
  }
  return stream
}

function unreadable(path: string, cause: unknown): CliError {
  return new CliError(`${path}: cannot be read: ${(cause as Error).message}`, { cause })
}
