# needs: ffmpeg ffprobe file
ffmpeg -v error -nostdin -f lavfi -i testsrc=duration=1:size=160x120:rate=10 -f lavfi -i sine=duration=1 -threads 2 -bitexact -y out.mkv; ffprobe -v error -show_entries format=format_name -of csv out.mkv; ffmpeg -v error -nostdin -i out.mkv -frames:v 1 -y one.png; file one.png | cut -c1-40
