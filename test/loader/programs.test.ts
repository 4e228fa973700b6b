// The agent's programs on interfaces, as this kernel has them: whatever becomes of a link is mended, also where links
// are filters of clsact.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'
import type { ExecutionContext } from 'ava'

import { type Attachment, ProgramLinks, type ProgramReport } from '../../agent/reconcilers/programs.ts'
import { LoaderLinks, removeLink } from '../../agent/worker/links.ts'
import { BpfObject, clsactProgram, interfaceIndex, Link, listPins, systemLibbpf } from '../../loader/index.ts'
import type { Direction, Libbpf, Program } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { withVethPair } from '../helpers/veth.ts'
import { checkLeaks } from './leaks.ts'

const NAMESPACE = `sluice-programs-${process.pid}`
const PINS = `/sys/fs/bpf/${NAMESPACE}`
const EINVAL = 22
const ATTACH_TCX: readonly number[] = [46, 47]
/** Maps of these tests hold nothing. */
const SMALL = { policy_rows: 16, slots: 16, addresses: 16, prefixes: 16, policy: 16, conntrack4: 16, conntrack6: 16, events: 4096 }

checkLeaks(test)

/** The kernel as it was before TCX. */
function withoutTcx(): Libbpf {
  const real = systemLibbpf()
  const linkCreate: Libbpf['linkCreate'] = (program, target, type, flags) =>
    ATTACH_TCX.includes(type) ? -EINVAL : real.linkCreate(program, target, type, flags)
  return { ...real, linkCreate }
}

class Scene implements Disposable {
  readonly #objects = new DisposableStack()
  readonly #programs: readonly Program[]
  readonly libbpf: Libbpf
  readonly wanted: readonly Attachment[]

  constructor(libbpf: Libbpf) {
    this.libbpf = libbpf
    this.#programs = ['tc_host', 'xdp_lb'].flatMap((name) => {
      const object = this.#objects.use(BpfObject.open(`build/bpf/${name}.bpf.o`, { mapSizes: SMALL }))
      return object.load().programs
    })
    const ifindex = interfaceIndex('left')
    this.wanted = (['from_world', 'to_world', 'xdp_lb'] as const).map((program) => ({ program, ifindex, interface: 'left' }))
  }

  program(name: string): Program | undefined {
    return this.#programs.find((each) => each.name === name)
  }

  /** Links as a new agent sees them. */
  links(): ProgramLinks {
    return new ProgramLinks(new LoaderLinks({ programs: this, xdpMode: 'auto', libbpf: this.libbpf }), PINS)
  }

  [Symbol.dispose](): void {
    this.#objects.dispose()
  }
}

/** Number of the interface that a link is on, by the kernel's own word; 0 once it is detached. */
function placeOf(pin: string): number {
  using link = Link.openPinned(pin)
  return link.info.ifindex
}

function filters(direction: Direction): string {
  return execFileSync('tc', ['filter', 'show', 'dev', 'left', direction], { encoding: 'utf8' })
}

function holds(t: ExecutionContext, { attached, failures }: ProgramReport, hooks: readonly string[]): void {
  t.deepEqual(failures, [])
  t.deepEqual(attached.map(({ hook }) => hook).sort(), hooks)
  for (const { pin, linkId, ifindex } of attached) if (linkId !== undefined) t.is(placeOf(pin), ifindex)
}

const TCX_HOOKS = ['tcx/egress', 'tcx/ingress', 'xdp/native']
const CLSACT_HOOKS = ['clsact/egress', 'clsact/ingress', 'xdp/native']

kernelTest('links that were detached by force are noticed and made again', (t) => {
  withVethPair({ namespace: NAMESPACE, pins: PINS }, () => {
    using scene = new Scene(systemLibbpf())
    const links = scene.links()
    const before = links.reconcile(scene.wanted, { complete: true })
    holds(t, before, TCX_HOOKS)
    for (const { pin } of before.attached) execFileSync('bpftool', ['link', 'detach', 'pinned', pin])
    t.deepEqual(before.attached.map(({ pin }) => placeOf(pin)), [0, 0, 0])
    holds(t, links.reconcile(scene.wanted, { complete: true }), TCX_HOOKS)
    const [first, second] = [1, 2].map(() => links.reconcile(scene.wanted, { complete: true }).attached.map(({ linkId }) => linkId))
    t.deepEqual(first, second, 'what is attached stays')
  })
})

kernelTest('an interface that was made again under its name gets programs, and pins of the old one go', (t) => {
  withVethPair({ namespace: NAMESPACE, pins: PINS }, () => {
    using scene = new Scene(systemLibbpf())
    const links = scene.links()
    links.reconcile(scene.wanted, { complete: true })
    execFileSync('ip', ['link', 'delete', 'left'])
    execFileSync('ip', ['link', 'add', 'left', 'type', 'veth', 'peer', 'name', 'right'])
    const ifindex = interfaceIndex('left')
    t.not(ifindex, scene.wanted[0]?.ifindex)
    const wanted = scene.wanted.map((attachment) => ({ ...attachment, ifindex }))
    holds(t, links.reconcile(wanted, { complete: true }), TCX_HOOKS)
    t.deepEqual(listPins(PINS), wanted.map(({ program }) => `${program}-${ifindex}`).sort())
  })
})

kernelTest('without TCX programs are filters of clsact: kept, mended, taken over, and removed by their pins', (t) => {
  withVethPair({ namespace: NAMESPACE, pins: PINS }, () => {
    using scene = new Scene(withoutTcx())
    const links = scene.links()
    const { attached } = links.reconcile(scene.wanted, { complete: true })
    t.regex(attached[0]?.fallback ?? '', /no TCX/)
    holds(t, links.reconcile(scene.wanted, { complete: true }), CLSACT_HOOKS)
    t.deepEqual([count(filters('ingress'), 'from_world'), count(filters('egress'), 'to_world')], [1, 1])
    execFileSync('tc', ['qdisc', 'delete', 'dev', 'left', 'clsact'])
    holds(t, links.reconcile(scene.wanted, { complete: true }), CLSACT_HOOKS)
    t.is(count(filters('ingress'), 'from_world'), 1)
    using newer = new Scene(withoutTcx())
    const taken = newer.links().reconcile(newer.wanted, { complete: true })
    t.deepEqual(taken.failures, [])
    t.is(count(filters('ingress'), 'from_world'), 1, 'in place of the old one')
    t.is(clsactProgram(interfaceIndex('left'), 'ingress'), taken.attached[0]?.id)
    for (const name of listPins(PINS)) removeLink(join(PINS, name))
    t.deepEqual([filters('ingress'), filters('egress')], ['', ''])
  })
})

/** `tc` shows a filter's program as "name:[id]". */
function count(shown: string, program: string): number {
  return shown.split(`${program}:[`).length - 1
}

kernelTest('a filter that is not ours stays when a pin is removed', (t) => {
  withVethPair({ namespace: NAMESPACE, pins: PINS }, () => {
    using scene = new Scene(withoutTcx())
    const [attachment] = scene.wanted
    const wanted = attachment === undefined ? [] : [attachment]
    scene.links().reconcile(wanted, { complete: true })
    using other = new Scene(withoutTcx())
    other.links().reconcile(wanted, { complete: true })
    const pin = join(PINS, listPins(PINS)[0] ?? '')
    rmSync(pin)
    scene.program('from_world')?.pin(pin)
    removeLink(pin)
    t.is(count(filters('ingress'), 'from_world'), 1)
  })
})
