# A history for replay, the same everywhere: programs of ten kinds, each three times, for 24 hours.
function noise() { seed = (seed * 69069 + 12345) % 4294967296; return seed / 4294967296 }
BEGIN {
	seed = 7
	mib = 1048576
	print "time_secs,pid,comm,bytes"
	for (second = 0; second < 86400; second += 30)
		for (kind = 0; kind < 10; kind++)
			for (pid = 100 + kind; pid < 400; pid += 100) {
				hours = second / 3600
				start = (20 + pid / 7) * mib
				if (kind == 0) bytes = start
				if (kind == 1) bytes = start + hours * pid / 10 * mib
				if (kind == 2) bytes = start + (hours < 2 ? hours : 2) * 200 * mib
				if (kind == 3) bytes = start + noise() * 90 * mib
				if (kind == 4) bytes = start + hours * 7 * mib + noise() * 25 * mib
				if (kind == 5) bytes = start + (second % 7200) / 7200 * 300 * mib
				if (kind == 6) bytes = start + hours * hours * 2 * mib
				if (kind == 7) bytes = hours < 15 ? start : start + (hours - 15) * 900 * mib
				if (kind == 8) bytes = start + int(hours) * 30 * mib
				if (kind == 9) { if (second % 20000 > 15000) continue; bytes = start + second % 20000 * 9000 }
				printf "%d,%d,kind-%d,%d\n", second, pid, kind, bytes
			}
}
