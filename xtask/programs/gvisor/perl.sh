# needs: perl
perl -MPOSIX -MIO::Socket::INET -MFile::Temp=tempfile -e '
  my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", Proto => "tcp") or die $!;
  my $pid = fork;
  if (!$pid) { my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die $!; print $c "from the child\n"; exit 3; }
  my $got = $server->accept; print scalar <$got>; waitpid $pid, 0; print $? >> 8, "\n";
  my ($fh, $name) = tempfile(DIR => "."); print $fh "x" x 10000; close $fh; print -s $name, "\n";
  print join(",", sort { $a <=> $b } map { $_ * 7 % 11 } 1 .. 10), "\n"; print `echo shell`; local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; pause;'
