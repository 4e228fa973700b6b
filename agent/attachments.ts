// Which programs belong on which interfaces.
import type { Degradation } from './api/types.ts'
import type { LocalEndpoint } from './endpoints.ts'
import type { Interface } from './interfaces.ts'
import type { Attachment, AttachmentFailure } from './reconcilers/programs.ts'

/** What an answer or the status says of it. */
export function missingProgram({ attachment: { program, interface: device }, message }: AttachmentFailure): Degradation {
  return {
    what: `program ${program} is not attached to ${device}`,
    why: message,
    hint: 'it is tried again by itself; until then nothing is enforced on this interface by it',
  }
}

export function uplinkOf(links: readonly Interface[], name: string | undefined): Interface | undefined {
  return links.find((link) => link.name === name)
}

export function attachmentsOf(endpoints: readonly LocalEndpoint[], uplink: Interface | undefined, balances: boolean): Attachment[] {
  const attachments: Attachment[] = []
  const attach = (program: Attachment['program'], { ifindex, name }: Interface): void => {
    attachments.push({ program, ifindex, interface: name })
  }
  for (const { link } of endpoints) {
    if (link === undefined) continue
    attach('from_endpoint', link)
    attach('to_endpoint', link)
  }
  if (uplink === undefined) return attachments
  attach('from_world', uplink)
  attach('to_world', uplink)
  if (balances) attach('xdp_lb', uplink)
  return attachments
}

