# needs: go
mkdir m; cd m; export GOCACHE=$WORK/cache GOPATH=$WORK/go GOTOOLCHAIN=local GOTELEMETRY=off
printf 'module m\ngo 1.18\n' > go.mod

cat > main.go <<'END'
package main
import ("fmt"; "strings"; "sync"; "os"; "os/exec"; "time")
func main() {
	var w sync.WaitGroup; var m sync.Mutex; sum := 0
	for i := 0; i < 100; i++ { w.Add(1); go func(n int) { defer w.Done(); m.Lock(); sum += n; m.Unlock() }(i) }
	w.Wait(); fmt.Println(sum, strings.Repeat("a", 3))
	out, err := exec.Command("echo", "child").Output(); fmt.Print(string(out), err, "\n")
	time.Sleep(20 * time.Millisecond); f, _ := os.CreateTemp(".", "x"); f.WriteString("t"); f.Close(); os.Remove(f.Name())
}
END
go build -p 2 -o prog . ; ./prog
