// Faults as a table: each says file, line, place in the document, and what is allowed there.
import type { TestFn } from 'ava'
import { parseDocuments } from '../index.ts'

export interface Fault {
  readonly title: string
  readonly text: string
  readonly code: string
  readonly line: number
  readonly path: string
  /** Part of what is said to be allowed. */
  readonly allowed?: string
}

/** The first three lines of a document. */
export const head = (apiVersion: string, kind: string, metadata = '{name: p}'): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: ${metadata}\n`

export function declareFaults(test: TestFn, faults: readonly Fault[]): void {
  for (const { title, text, code, line, path, allowed = '' } of faults) {
    test(`${title} is a fault with its place`, (t) => {
      const { documents, errors } = parseDocuments(text, 'dir/file.yaml')
      const [error] = errors
      t.like(error, { code, file: 'dir/file.yaml', line, path })
      t.true((error?.allowed ?? '').includes(allowed), error?.message)
      t.true(error?.message.startsWith(`dir/file.yaml:${line}:`), error?.message)
      t.deepEqual(documents, [])
    })
  }
}
