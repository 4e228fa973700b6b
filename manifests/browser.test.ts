// The page compiles manifests in the browser: nothing but the folder files/ may need Node.
import test from 'ava'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

async function reachable(file: string, seen = new Set<string>()): Promise<ReadonlySet<string>> {
  if (seen.has(file)) return seen
  seen.add(file)
  const text = await readFile(file, 'utf8')
  for (const [, specifier = ''] of text.matchAll(/^(?:import|export) (?!type ).*?from '([^']+)'/gms)) {
    if (specifier.startsWith('.')) await reachable(join(dirname(file), specifier), seen)
    else seen.add(specifier)
  }
  return seen
}

test('manifests/index.ts needs no package but yaml', async (t) => {
  const seen = await reachable(join(import.meta.dirname, 'index.ts'))
  t.deepEqual([...seen].filter((item) => !item.startsWith('/')), ['yaml'])
  t.true(seen.has(join(import.meta.dirname, 'cilium/policy.ts')), 'the walk follows imports')
})
