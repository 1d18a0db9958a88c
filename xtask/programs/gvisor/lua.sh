# needs: lua5.4
lua5.4 -e 'local t = {} for i = 1, 1e5 do t[i] = i % 7 end table.sort(t) print(t[1], t[#t], string.rep("a", 3)) local f = io.open("f", "w") f:write("x") f:close() print(io.popen("echo p"):read("a")) print(os.rename("f", "g"), os.remove("g"))' 
