// `sluice bpf`: what is loaded into the kernel, and where it is pinned.
import type { Command } from 'commander'
import type { MapItem, Program } from '../agent/api/index.ts'
import { agentOf, examples, group } from './command.ts'
import { formatTable, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

export function register(program: Command): void {
  const bpf = group(program, 'bpf', 'programs and maps in the kernel')
  bpf
    .command('programs')
    .description('every attached program: hook, interface, pin')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice bpf programs', 'where packets meet which program'],
        ['bpftool prog show id "$(sluice bpf programs -o json | jq .[0].id)"', 'more of one, from the kernel'],
      ),
    )
    .action(listPrograms)
  bpf
    .command('maps')
    .description('every map: size and pin')
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice bpf maps', 'a table'], ['bpftool map dump pinned PIN', 'what stands in one']))
    .action(listMaps)
}

async function listPrograms({ output }: Options, command: Command): Promise<void> {
  const programs = await agentOf(command).list<Program>('/v1/programs')
  const header = ['ID', 'NAME', 'HOOK', 'INTERFACE', 'INSTRUCTIONS', 'VERIFIED', 'PIN']
  print(programs, output, () => formatTable(header, programs.map(programRow)))
}

function programRow(program: Program): string[] {
  const { id, name, hook, instructions, verifiedInstructions, pin } = program
  return [String(id), name, hook, program.interface, count(instructions), count(verifiedInstructions), pin]
}

async function listMaps({ output }: Options, command: Command): Promise<void> {
  const maps = await agentOf(command).list<MapItem>('/v1/maps')
  const header = ['ID', 'NAME', 'TYPE', 'KEY', 'VALUE', 'ENTRIES', 'PIN']
  print(maps, output, () => formatTable(header, maps.map(mapRow)))
}

function mapRow({ id, name, type, keySize, valueSize, maxEntries, pin }: MapItem): string[] {
  return [String(id), name, type, `${keySize} B`, `${valueSize} B`, String(maxEntries), pin]
}

function count(value: number | undefined): string {
  return value === undefined ? '-' : String(value)
}
