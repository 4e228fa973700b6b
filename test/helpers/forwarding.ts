import { execFileSync } from 'node:child_process'

/** Makes the network namespace a router of both families. Not by `sysctl`: Debian's smallest system has none. */
export function enableForwarding(namespace: string): void {
  const files = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].map((name) => `/proc/sys/net/${name}`)
  execFileSync('nsenter', [`--net=${namespace}`, 'sh', '-ec', files.map((file) => `echo 1 > ${file}`).join('\n')])
}
