// Answers a thousand requests a second, and keeps an answer of about 1 KiB of each: all of them, or
// with an argument only the latest, of so many bytes together. Says once a second how many bytes it
// keeps.

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

class Server {
    static final ArrayDeque<byte[]> answers = new ArrayDeque<>();

    public static void main(String[] arguments) throws InterruptedException {
        long most = arguments.length > 0 ? Long.parseLong(arguments[0]) : Long.MAX_VALUE;
        Random random = new Random(1);
        long kept = 0;
        for (long number = 1;; number++) {
            // Garbage, for the collector.
            List<String> words = new ArrayList<>();
            for (int word = 0; word < 200; word++) words.add(word + " of " + number);
            byte[] answer = new byte[256 + random.nextInt(1536)];
            answer[0] = (byte) words.size();
            answers.add(answer);
            kept += answer.length;
            while (kept > most) kept -= answers.remove().length;
            if (number % 10 == 0) Thread.sleep(10);
            if (number % 1000 == 0) System.out.println(kept);
        }
    }
}
