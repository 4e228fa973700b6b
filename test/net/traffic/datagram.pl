# Datagrams that Node cannot send: without a checksum (RFC 768; RFC 6935 for IPv6).
#
#   datagram.pl serve PORT                   echoes, over both families; prints `ready`
#   datagram.pl watch PORT                   prints `ready`, then the checksum of each that comes, as `ipv4 0`
#   datagram.pl ADDRESS PORT BYTES zero|sum  sends one, with or without a checksum; prints how many bytes came back
use strict;
use warnings;
use Socket qw(:all);

# include/uapi/asm-generic/socket.h, include/uapi/linux/udp.h
use constant { SO_NO_CHECK => 11, SOL_UDP => 17, UDP_NO_CHECK6_TX => 101, UDP_NO_CHECK6_RX => 102 };

$| = 1;
my ($what, $port, $bytes, $checksum) = @ARGV;
if ($what eq 'serve') {
	serve($port);
} elsif ($what eq 'watch') {
	watch($port);
} else {
	exchange($what, $port, $bytes, $checksum eq 'zero');
}

sub serve {
	my ($port) = @_;
	socket(my $socket, AF_INET6, SOCK_DGRAM, 0) or die "socket: $!";
	setsockopt($socket, SOL_UDP, UDP_NO_CHECK6_RX, pack('i', 1)) or die "UDP_NO_CHECK6_RX: $!";
	bind($socket, pack_sockaddr_in6($port, IN6ADDR_ANY)) or die "bind: $!";
	print "ready\n";
	while (defined(my $from = recv($socket, my $datagram, 65536, 0))) {
		send($socket, $datagram, 0, $from);
	}
}

# Raw sockets get the datagram before the kernel looks at its checksum; of IPv4 with the header before it.
sub watch {
	my ($port) = @_;
	socket(my $ipv4, AF_INET, SOCK_RAW, IPPROTO_UDP) or die "raw socket: $!";
	socket(my $ipv6, AF_INET6, SOCK_RAW, IPPROTO_UDP) or die "raw socket: $!";
	print "ready\n";
	for (;;) {
		my $ready = '';
		vec($ready, fileno($_), 1) = 1 for $ipv4, $ipv6;
		select($ready, undef, undef, undef);
		for (['ipv4', $ipv4, 20], ['ipv6', $ipv6, 0]) {
			my ($family, $socket, $offset) = @$_;
			next unless vec($ready, fileno($socket), 1);
			recv($socket, my $datagram, 65536, 0);
			my (undef, $destination, undef, $sum) = unpack("x$offset n4", $datagram);
			print "$family $sum\n" if $destination == $port;
		}
	}
}

sub exchange {
	my ($address, $port, $bytes, $zero) = @_;
	my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
	my $to = inet_pton($family, $address);
	socket(my $socket, $family, SOCK_DGRAM, 0) or die "socket: $!";
	if ($zero) {
		my ($level, $option) = $family == AF_INET ? (SOL_SOCKET, SO_NO_CHECK) : (SOL_UDP, UDP_NO_CHECK6_TX);
		setsockopt($socket, $level, $option, pack('i', 1)) or die "no checksum: $!";
	}
	connect($socket, $family == AF_INET ? pack_sockaddr_in($port, $to) : pack_sockaddr_in6($port, $to)) or die "connect: $!";
	send($socket, 'x' x $bytes, 0) // die "send: $!";
	local $SIG{ALRM} = sub { print "nothing\n"; exit };
	alarm 2;
	recv($socket, my $reply, 65536, 0) // die "recv: $!";
	print length($reply), "\n";
}
