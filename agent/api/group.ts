// Who reaches the agent's socket beside root: the members of one group, on machines that have it.
import { readFileSync } from 'node:fs'

const GROUP = 'sluice'
export const GROUPS_FILE = '/etc/group'

/** Number of the group; undefined where the machine has none of that name. `groupsFile`: see group(5). */
export function socketGroup(groupsFile = GROUPS_FILE): number | undefined {
  const line = readFileSync(groupsFile, 'utf8').split('\n').find((each) => each.startsWith(`${GROUP}:`))
  const id = Number(line?.split(':')[2])
  return Number.isInteger(id) ? id : undefined
}

/** For somebody whom the socket refused. */
export function accessHint(groupsFile = GROUPS_FILE): string {
  if (socketGroup(groupsFile) !== undefined) return `only root and members of the group \`${GROUP}\` reach it: use sudo, or join the group`
  return `only root reaches it: use sudo. There is no group \`${GROUP}\` here, whose members would; the agent looks for it when it starts`
}
