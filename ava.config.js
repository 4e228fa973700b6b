// Tests run as processes, not as worker threads: network namespaces belong to threads, and a crash in native code
// is to fail one file only. scripts/test.ts runs the tests that share the machine apart from the others.
export default {
  extensions: ['ts'],
  files: ['**/*.test.ts', '!build', '!node_modules'],
  workerThreads: false,
  utilizeParallelBuilds: false, // A CI's job index must not leave tests out.
  timeout: '3m',
}
