# needs: go
mkdir m; cd m; export GOCACHE=$WORK/cache GOPATH=$WORK/go GOTOOLCHAIN=local GOTELEMETRY=off
printf 'module m\ngo 1.18\n' > go.mod

cat > main.go <<'END'
package main
import ("fmt"; "io"; "net"; "net/http"; "os")
func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0"); if err != nil { panic(err) }
	os.WriteFile("file", make([]byte, 100000), 0o644)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "file") })
	go http.Serve(l, nil)
	for i := 0; i < 20; i++ {
		a, err := http.Get("http://" + l.Addr().String() + "/"); if err != nil { panic(err) }
		n, _ := io.Copy(io.Discard, a.Body); a.Body.Close(); fmt.Println(n)
	}
	in, _ := os.Open("file"); out, _ := os.Create("copy"); n, err := io.Copy(out, in); fmt.Println(n, err)
}
END
CGO_ENABLED=0 go build -p 2 -o prog . ; ./prog
