// The option --flows, and the file behind it.
import { Option } from 'commander'
import { readFlows, type FlowRecord } from '../../whatif/index.ts'
import { CliError } from '../errors.ts'
import { note } from '../output.ts'
import { readText } from './inputs.ts'

export function flowsOption(): Option {
  return new Option('--flows <file>', 'what sluice observe -o jsonl printed, or - for standard input')
}

/** Throws CliError with the first lines that are no flow, if there are any. */
export async function readFlowRecord(path: string): Promise<FlowRecord> {
  const { file, text } = await readText(path)
  const record = readFlows(text, file)
  if (record.faults.length > 0) throw new CliError(`lines of the record are no flows:\n${record.faults.map((fault) => `  ${fault}`).join('\n')}`)
  if (record.flows === 0) note(`${file} holds no flow`)
  return record
}
