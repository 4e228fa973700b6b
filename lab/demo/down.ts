import { abandonedLabs, objectsOf, records, removeLab } from '../index.ts'
import { demoName } from './build.ts'
import { say } from './report.ts'

/** Whether a demo was left running; one that is still being made belongs to its process. */
export function isRunning(labs = records()): boolean {
  return labs.some(({ name, owner }) => name === demoName && owner === undefined)
}

/** Removes the demo and what killed runs left. Throws for a user who may not. */
export async function down(uid = process.getuid?.()): Promise<boolean> {
  const names = [...new Set([demoName, ...abandonedLabs()])].filter(isMade)
  if (names.length === 0) say('nothing to stop: no demo is running here')
  else if (uid !== 0) throw new Error(`root made what is running here (${names.join(', ')}) and must stop it: sudo npm stop`)
  for (const name of names) {
    const { namespaces, processes, bpffs } = await removeLab(name)
    say(`lab ${name} removed: ${namespaces.length} namespaces, ${processes.length} processes, ${bpffs.length} folders of pins`)
  }
  return true
}

/** Processes of others are not seen, but each lab has a record and folders. */
function isMade(lab: string): boolean {
  const found: readonly (readonly unknown[])[] = Object.values(objectsOf(lab))
  return records().some(({ name }) => name === lab) || found.some((objects) => objects.length > 0)
}
