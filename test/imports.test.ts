// One index.ts is a folder's public surface: what stands behind it may change without a look at anybody else.
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import test from 'ava'

const FOLDERS = ['cli', 'lab', 'observe', 'whatif', 'scripts', 'bench']
const IMPORT = /^(?:import|export) [^']*?from '(\.[^']*\.ts)'/gm

for (const folder of FOLDERS) {
  test(`${folder}/ meets other folders through their index.ts`, (t) => {
    const files = globSync(`${folder}/**/*.ts`).filter((file) => !file.endsWith('.test.ts') && !file.includes('/testing/'))
    t.true(files.length > 0)
    const found = files.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(([, path = '']) => ({ file, imported: join(dirname(file), path) })),
    )
    const others = found.filter(({ imported }) => imported.split('/')[0] !== folder && imported.includes('/'))
    t.deepEqual(others.filter(({ imported }) => basename(imported) !== 'index.ts'), [])
  })
}
