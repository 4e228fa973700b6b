// Protocols without ports that rules of a CiliumNetworkPolicy may open, by IANA's registry "Protocol Numbers".
export const PORTLESS = { IGMP: 2, IPIP: 4, IPv6: 41, GRE: 47, ESP: 50, AH: 51, VRRP: 112 } as const

type PortlessName = keyof typeof PORTLESS

export const PORTLESS_NAMES = Object.keys(PORTLESS) as readonly PortlessName[]

export const isPortless = (name: string): name is PortlessName => Object.hasOwn(PORTLESS, name)
