import test from 'ava'
import { compileFilter, FilterError } from './filter.ts'
import type { FlowFilter } from './filter.ts'
import { CLOCK, DENIED, DIRECTORY } from './fixtures.ts'
import { toFlow } from './flow.ts'

const FLOW = toFlow(DENIED, DIRECTORY, CLOCK)

const cases: readonly (readonly [filter: FlowFilter, matches: boolean])[] = [
  [{}, true],
  [{ verdict: 'dropped' }, true],
  [{ verdict: 'forwarded' }, false],
  [{ verdict: 'audited,dropped' }, true],
  [{ fromLabel: 'k8s:app=client' }, true],
  [{ fromLabel: 'app=client' }, true],
  [{ fromLabel: 'any:app=client' }, true],
  [{ fromLabel: 'aws:app=client' }, false],
  [{ fromLabel: 'app=web' }, false],
  [{ fromLabel: 'app=clien' }, false],
  [{ fromLabel: 'app' }, true],
  [{ fromLabel: 'ap' }, false],
  [{ fromLabel: 'k8s:app' }, true],
  [{ toLabel: 'app=web,k8s:io.kubernetes.pod.namespace=demo' }, true],
  [{ toLabel: 'app=web,app=client' }, false],
  [{ port: 80 }, true],
  [{ port: '41234' }, true],
  [{ port: 8 }, false],
  [{ protocol: 'tcp' }, true],
  [{ protocol: '6' }, true],
  [{ protocol: 'UDP' }, false],
  [{ verdict: 'dropped', port: 81 }, false],
]

for (const [filter, matches] of cases) {
  test(`${JSON.stringify(filter)} ${matches ? 'matches' : 'does not match'}`, (t) => t.is(compileFilter(filter)(FLOW), matches))
}

test('a value with a colon belongs to the label, not to its source', (t) => {
  const flow = { ...FLOW, source: { ...FLOW.source, labels: ['aws:image=registry:5000'] } }
  t.true(compileFilter({ fromLabel: 'aws:image=registry:5000' })(flow))
  t.true(compileFilter({ fromLabel: 'image=registry:5000' })(flow))
})

const invalid: readonly (readonly [filter: FlowFilter, message: RegExp])[] = [
  [{ verdict: 'denied' }, /verdict "denied".*forwarded, dropped, audited, revoked/],
  [{ verdict: '' }, /verdict/],
  [{ port: 'http' }, /port "http".*1 to 65535/],
  [{ port: 0 }, /port "0"/],
  [{ port: 65536 }, /port "65536"/],
  [{ protocol: 'http' }, /protocol "http".*TCP.*IANA/],
  [{ fromLabel: '=web' }, /fromLabel "=web".*k8s:app=web/],
  [{ toLabel: 'app=web,' }, /toLabel/],
]

for (const [filter, message] of invalid) {
  test(`${JSON.stringify(filter)} says what is allowed`, (t) => {
    t.throws(() => compileFilter(filter), { instanceOf: FilterError, message })
  })
}
