// Labels as people read them in a table.

/** Keys that say what the name of a workload says already. */
const OBVIOUS = /^k8s:io\.(kubernetes|cilium\.k8s)\./

/** Without the obvious ones, the source `k8s` and an empty value: "app=web, reserved:world". */
export function shortLabels(labels: readonly string[]): string {
  return labels
    .filter((label) => !OBVIOUS.test(label))
    .map((label) => label.replace(/^k8s:/, '').replace(/=$/, ''))
    .join(', ')
}
