import { join } from 'node:path'
import {
  bpffsRoot, commandOf, labFolder, labVariable, listFolder, processesWith, processId, records, runFolder, runVariable,
} from '../lab/index.ts'

export { runVariable }

/** Names of what tests could leave on the machine, as full paths. */
export type MachineState = ReadonlySet<string>

export function machineState(): MachineState {
  const folders = ['/run/netns', bpffsRoot, runFolder]
  return new Set(folders.flatMap((folder) => listFolder(folder).map((name) => join(folder, name))))
}

/**
 * What this test run left, by name; a lab is named as a whole. What other runs or people have on the machine at the same
 * time is not.
 */
export function whatIsLeft(before: MachineState, run: string): string[] {
  const labs = records()
  const belongsToLab = (path: string) =>
    labs.some(({ name }) => path.includes(`/sluice-${name}-`) || path.startsWith(join(runFolder, `${name}-`)))
  const pids = allPids()
  const ofLabs = new Set(labs.flatMap(({ name }) => processesWith(labVariable, name, pids)).map(({ pid }) => pid))
  const ours = new Set(processesWith(runVariable, run, pids).map(({ pid }) => pid))
  const paths = [...machineState()].filter((path) => !before.has(path) && !belongsToLab(path) && !isInUse(path, ours))
  return [
    ...labsLeft(run).map((name) => `lab ${name}`),
    ...paths.filter((path) => path !== labFolder),
    ...[...ours].filter((pid) => !ofLabs.has(pid)).map((pid) => `process ${pid} (${commandOf(pid)})`),
  ]
}

/** Labs that this run has not removed. */
export function labsLeft(run: string): string[] {
  return records().filter((lab) => lab.run === run).map(({ name }) => name)
}

/** Names end with their maker's number where several may stand beside each other: one that lives is at work. */
function isInUse(path: string, ours: ReadonlySet<number>): boolean {
  const maker = Number(/-(\d+)$/.exec(path)?.[1])
  return processId(maker) !== undefined && !ours.has(maker)
}

function allPids(): number[] {
  return listFolder('/proc').map(Number).filter(Number.isInteger)
}
