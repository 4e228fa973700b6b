# frames.pl HEX...: sends Ethernet frames out of eth0, each as it stands.
use strict;
use warnings;

# linux/if_packet.h, linux/sockios.h
use constant { AF_PACKET => 17, SOCK_RAW => 3, SIOCGIFINDEX => 0x8933 };

socket(my $socket, AF_PACKET, SOCK_RAW, 0) or die "socket: $!";
my $request = pack('a16 x24', 'eth0');
ioctl($socket, SIOCGIFINDEX, $request) or die "index of eth0: $!";
my $index = unpack('x16 i', $request);
for my $frame (map { pack('H*', $_) } @ARGV) {
	# struct sockaddr_ll
	defined(send($socket, $frame, 0, pack('S n i S C C a8', AF_PACKET, 0, $index, 0, 0, 6, substr($frame, 0, 6)))) or die "send: $!";
}
