import test from 'ava'
import { compile, parseDocuments } from '../manifests/index.ts'
import { outsideRegions } from './regions.ts'

const policy = (...prefixes: readonly string[]): string => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: demo}
spec: {podSelector: {}, ingress: [{from: [${prefixes.map((cidr) => `{ipBlock: {cidr: ${cidr}}}`).join()}]}]}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: w, namespace: demo}
spec: {addresses: [192.0.2.1, 10.0.0.1]}
`

const regions = (...prefixes: readonly string[]) =>
  Object.fromEntries(outsideRegions([compile(parseDocuments(policy(...prefixes), 'p.yaml').documents)]).map(({ prefix, address }) => [prefix, address]))

test('a region has an address that no narrower prefix and no workload holds', (t) => {
  t.deepEqual(regions('10.0.0.0/8', '10.0.0.0/30', '192.0.2.0/31'), {
    '0.0.0.0/0': '0.0.0.1',
    '::/0': '::1',
    '10.0.0.0/8': '10.0.0.4',
    '10.0.0.0/30': '10.0.0.2',
    '192.0.2.0/31': '192.0.2.0',
  })
})

test('what is divided without remainder, or is a workload\'s alone, is no region', (t) => {
  t.deepEqual(Object.keys(regions('10.0.0.0/8', '10.0.0.0/9', '10.128.0.0/9', '10.0.0.1/32')), ['0.0.0.0/0', '::/0', '10.0.0.0/9', '10.128.0.0/9'])
})
