import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, processId, type ProcessId } from './process.ts'

/** State folders, sockets and logs of all nodes of this machine; lost on reboot like the namespaces. */
export const runFolder = '/run/sluice'
/** Records of all labs, and the folders of those without a name: the CLI finds only the sockets one level up. */
export const labFolder = join(runFolder, 'lab')

/** Marks the processes that a lab started, and with runVariable those of a test run. */
export const labVariable = 'LAB_NAME'
export const runVariable = 'LAB_TEST_RUN'

/**
 * What remains of a lab when its maker dies: all else is found by name, see cleanup.ts. Names of labs have no
 * dash, so that `sluice-LAB-` is a prefix of this lab's objects only.
 */
export interface LabRecord {
  readonly name: string
  /** The process that will remove the lab; absent where the lab is to outlive its maker (the demo). */
  readonly owner?: ProcessId
  /** The test run that it belongs to. */
  readonly run?: string
}

export function writeRecord(record: LabRecord): void {
  mkdirSync(labFolder, { recursive: true })
  const path = recordPath(record.name)
  // Written aside and renamed, so that a reader never sees half a record.
  writeFileSync(`${path}.tmp`, JSON.stringify(record))
  renameSync(`${path}.tmp`, path)
}

export function removeRecord(name: string): void {
  rmSync(recordPath(name), { force: true })
}

export function records(): LabRecord[] {
  const files = listFolder(labFolder).filter((file) => file.endsWith('.json'))
  return files.map((file) => JSON.parse(readFileSync(join(labFolder, file), 'utf8')) as LabRecord)
}

/** A lab whose maker was killed before it could remove it. */
export function isAbandoned(record: LabRecord): boolean {
  return record.owner !== undefined && !isAlive(record.owner)
}

/** A record for a lab that this process makes and removes. */
export function ownRecord(name: string): LabRecord {
  const owner = processId(process.pid)
  const run = process.env[runVariable]
  return { name, ...(owner && { owner }), ...(run !== undefined && { run }) }
}

/** Names in a folder; none if it does not exist. */
export function listFolder(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function recordPath(name: string): string {
  return join(labFolder, `${name}.json`)
}
