import test from 'ava'
import { readFileSync } from 'node:fs'
import { CLOCK, DENIED, DIRECTORY } from './fixtures.ts'
import { toFlow } from './flow.ts'
import { FlowMetrics, registerDatapathMetrics, Registry } from './metrics.ts'

const PAGE = readFileSync(new URL('../docs/flows.md', import.meta.url), 'utf8')

test('docs/flows.md shows a flow as it is', (t) => {
  const example: unknown = JSON.parse(/```json\n([^]*?)```/.exec(PAGE)?.[1] ?? '')
  t.deepEqual(shape(example), shape(toFlow(DENIED, DIRECTORY, CLOCK)))
})

test('docs/flows.md explains every field and every metric', async (t) => {
  const whole = { ...toFlow({ ...DENIED, service: 3 }, DIRECTORY, CLOCK), ...toFlow({ ...DENIED, protocol: 1 }, DIRECTORY, CLOCK) }
  t.deepEqual(namesIn('Fields'), Object.keys(whole).sort())
  const registry = new Registry()
  new FlowMetrics(registry)
  registerDatapathMetrics(registry, () => ({ reasons: [], eventsLost: 0n }))
  const metrics = registry.getMetricsAsArray().map(({ name }) => name)
  t.deepEqual(namesIn('Metrics'), metrics.sort())
})

/** Code in the first column of the tables below a heading. */
function namesIn(heading: string): string[] {
  const section = PAGE.split('\n## ').find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const cells = [...section.matchAll(/^\| (`.*?) \|/gm)].map(([, cell = '']) => cell)
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)).sort()
}

/** Keys in their order, and the types of what they hold. */
function shape(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return typeof value
  return Object.entries(value).map(([key, held]) => [key, shape(held)])
}
