# A Type=notify service in perl, which every Debian has: ready after a moment, counts, feeds its watchdog, counts anew
# on SIGHUP, and says goodbye on SIGTERM.
use strict;
use warnings;
use Socket;

$| = 1;

sub notify {
    my ($text) = @_;
    my $address = $ENV{NOTIFY_SOCKET} or return;
    $address =~ s/^@/\0/;
    socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
    send($socket, $text, 0, pack_sockaddr_un($address)) or die "send: $!\n";
    close($socket);
}

my ($stop, $again, $count) = (0, 0, 0);
$SIG{TERM} = sub { $stop = 1 };
$SIG{HUP} = sub { $again = 1 };

# Half the watchdog's time, as sd_watchdog_enabled(3) advises; without a watchdog, ten seconds.
my $beat = ($ENV{WATCHDOG_USEC} // 20_000_000) / 2_000_000;

notify("STATUS=Warming up");
select(undef, undef, undef, 0.5);
notify("READY=1\nSTATUS=Counting from 0");
print "Ready\n";

until ($stop) {
    select(undef, undef, undef, $beat);
    if ($again) {
        ($again, $count) = (0, 0);
        print "Reloaded: counting from 0 again\n";
    }
    $count++;
    notify("WATCHDOG=1\nSTATUS=Counted to $count");
}
notify("STOPPING=1\nSTATUS=Counted to $count and going");
print "Stopping at $count\n";
