import test from 'ava'
import { type AttachedProgram, type Attachment, type LinkPort, ProgramLinks } from './programs.ts'

/** Links as the kernel would keep them: by pin, with the interface they are on. */
class MemoryLinks implements LinkPort {
  readonly pinned = new Map<string, number>()
  readonly interfaces = new Set<number>()
  /** 1 where there is none; 0: it is not loaded. */
  readonly programIds = new Map<string, number>()
  updates = 0

  programId(name: string): number | undefined {
    return (this.programIds.get(name) ?? 1) || undefined
  }

  ensure(attachment: Attachment, pin: string): AttachedProgram {
    if (!this.interfaces.has(attachment.ifindex)) throw Object.assign(new Error('no such interface'), { code: 'SYSTEM' })
    const on = this.pinned.get(pin)
    if (on === 0) throw Object.assign(new Error('interface is gone'), { code: 'INCOMPATIBLE' })
    if (on !== undefined) this.updates++
    this.pinned.set(pin, attachment.ifindex)
    const { program: name, ifindex } = attachment
    return { id: this.programId(name) ?? 0, name, hook: 'tcx/ingress', ifindex, interface: attachment.interface, pin, linkId: 1, instructions: 1, verifiedInstructions: 1, fallback: undefined }
  }

  isAttached({ pin, ifindex }: AttachedProgram): boolean {
    return this.pinned.get(pin) === ifindex
  }

  pins(directory: string): string[] {
    return [...this.pinned.keys()].map((pin) => pin.slice(directory.length + 1))
  }

  remove(pin: string): void {
    this.pinned.delete(pin)
  }

  interfaceName(ifindex: number): string | undefined {
    return this.interfaces.has(ifindex) ? `if${ifindex}` : undefined
  }
}

const web: Attachment = { program: 'from_endpoint', ifindex: 7, interface: 'sl-web.1' }
const uplink: Attachment = { program: 'from_world', ifindex: 2, interface: 'eth0' }

function links(...interfaces: number[]): MemoryLinks {
  const memory = new MemoryLinks()
  for (const ifindex of interfaces) memory.interfaces.add(ifindex)
  return memory
}

test('attaches once and pins under a name that bpffs takes', (t) => {
  const memory = links(7)
  const programs = new ProgramLinks(memory, '/b/links')
  programs.reconcile([web], { complete: true })
  programs.reconcile([web], { complete: true })
  t.deepEqual([...memory.pinned], [['/b/links/from_endpoint-7', 7]])
  t.is(memory.updates, 0)
})

test('a new agent updates the pinned link instead of making another', (t) => {
  const memory = links(7)
  new ProgramLinks(memory, '/b/links').reconcile([web], { complete: true })
  new ProgramLinks(memory, '/b/links').reconcile([web], { complete: true })
  t.is(memory.updates, 1)
})

test('one interface that fails does not keep the others from being attached', (t) => {
  const memory = links(2)
  const report = new ProgramLinks(memory, '/b/links').reconcile([web, uplink], { complete: true })
  t.deepEqual(report.attached.map(({ name }) => name), ['from_world'])
  t.like(report.failures[0], { attachment: web, code: 'SYSTEM' })
})

test('nothing is pruned before every source has listed', (t) => {
  const memory = links(2)
  memory.pinned.set('/b/links/from_world-3', 3)
  const programs = new ProgramLinks(memory, '/b/links')
  programs.reconcile([uplink], { complete: false })
  t.true(memory.pinned.has('/b/links/from_world-3'))
  programs.reconcile([uplink], { complete: true })
  t.false(memory.pinned.has('/b/links/from_world-3'))
})

test('an endpoint that no manifest names keeps its programs, thus drops, until its interface is gone', (t) => {
  const memory = links(7)
  const programs = new ProgramLinks(memory, '/b/links')
  programs.reconcile([web], { complete: true })
  programs.reconcile([], { complete: true })
  t.true(memory.pinned.has('/b/links/from_endpoint-7'))
  memory.interfaces.delete(7)
  programs.reconcile([], { complete: true })
  t.false(memory.pinned.has('/b/links/from_endpoint-7'))
})

test('a pin whose interface is gone gives way to the new interface of that number', (t) => {
  const memory = links(7)
  memory.pinned.set('/b/links/from_endpoint-7', 0)
  const report = new ProgramLinks(memory, '/b/links').reconcile([web], { complete: true })
  t.is(memory.pinned.get('/b/links/from_endpoint-7'), 7)
  t.deepEqual(report.failures, [])
})

test('a link that was detached behind the back of the agent is made again, and until then not reported', (t) => {
  const memory = links(7)
  const programs = new ProgramLinks(memory, '/b/links')
  programs.reconcile([web], { complete: true })
  memory.pinned.set('/b/links/from_endpoint-7', 0)
  memory.interfaces.delete(7)
  const failed = programs.reconcile([web], { complete: true })
  t.deepEqual([failed.attached.length, failed.failures.length], [0, 1])
  memory.interfaces.add(7) // Made again, with the number of the old one.
  t.is(programs.reconcile([web], { complete: true }).attached.length, 1)
  t.is(memory.pinned.get('/b/links/from_endpoint-7'), 7)
})

test('a program that was loaded anew is put into the link that is there', (t) => {
  const memory = links(2)
  const programs = new ProgramLinks(memory, '/b/links')
  programs.reconcile([uplink], { complete: true })
  memory.programIds.set('from_world', 5)
  t.like(programs.reconcile([uplink], { complete: true }).attached[0], { id: 5 })
  t.is(memory.updates, 1)
})

test('while a program is refused what an earlier agent attached counts, and nothing else does', (t) => {
  const memory = links(2, 7)
  memory.programIds.set('from_endpoint', 0)
  const programs = new ProgramLinks(memory, '/b/links')
  t.deepEqual(programs.reconcile([web, uplink], { complete: true }).failures.map(({ code }) => code), ['NOT_LOADED'])
  memory.pinned.set('/b/links/from_endpoint-7', 7)
  t.deepEqual(programs.reconcile([web, uplink], { complete: true }).failures, [])
})

test('tells when links got a program, and whether one still has an earlier agent’s', (t) => {
  const memory = links(2, 7)
  memory.programIds.set('from_endpoint', 0)
  memory.pinned.set('/b/links/from_endpoint-7', 7)
  const programs = new ProgramLinks(memory, '/b/links')
  const reconcile = (wanted: readonly Attachment[]) => {
    const { updated, outdated } = programs.reconcile(wanted, { complete: true })
    return { updated, outdated }
  }
  t.deepEqual(reconcile([web, uplink]), { updated: true, outdated: true })
  t.deepEqual(reconcile([web, uplink]), { updated: false, outdated: true })
  memory.programIds.set('from_endpoint', 5)
  t.deepEqual(reconcile([web, uplink]), { updated: true, outdated: false })
  const unattachable = { ...uplink, ifindex: 9 }
  t.deepEqual(reconcile([web, uplink, unattachable]), { updated: false, outdated: false }, 'what was never attached uses no maps')
})

test('programs that nobody names any more are kept up to date too', (t) => {
  const memory = links(7)
  new ProgramLinks(memory, '/b/links').reconcile([web], { complete: true })
  memory.programIds.set('from_endpoint', 5)
  const report = new ProgramLinks(memory, '/b/links').reconcile([], { complete: true })
  t.like(report.attached[0], { id: 5, ifindex: 7, interface: 'if7' })
})

test('what nobody names is not attached anew to an interface that has its number by now', (t) => {
  const memory = links(7)
  memory.pinned.set('/b/links/from_endpoint-7', 0)
  const report = new ProgramLinks(memory, '/b/links').reconcile([], { complete: true })
  t.deepEqual([report.attached, report.failures, [...memory.pinned]], [[], [], []])
})
