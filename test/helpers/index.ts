import test, { type ExecutionContext } from 'ava'
import { missingPrivilege } from '../../lab/index.ts'

const missing = missingPrivilege()

/**
 * Declares a test that needs root, namespaces or BPF; such tests run one after the other. Where the privilege is
 * missing the test is skipped with the reason in its title, and fails with CI=true: a CI that skips proves nothing.
 */
export function kernelTest(title: string, body: (t: ExecutionContext) => void | Promise<void>): void {
  if (missing === undefined) test.serial(title, body)
  else if (process.env['CI'] === 'true') test(title, (t) => t.fail(`CI must be able to run this: ${missing}`))
  else test.skip(`${title} (${missing})`, body)
}
