import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's own tools one after the other, since a Java machine a call takes seconds: a line of the input is a class and
 * its arguments, with tabs between; each is answered by a line, "done" or what went wrong.
 */
public class Tools {
    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        Exit.setExitProcedure((code, message) -> {
            throw new IllegalStateException("exit " + code + " " + message);
        });
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t");
            String[] rest = java.util.Arrays.copyOfRange(words, 1, words.length);
            String answer = "done";
            try {
                Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) rest);
            } catch (InvocationTargetException failed) {
                String said = String.valueOf(failed.getCause().getMessage()).replace('\n', ' ');
                // Their good end is an exit as well.
                answer = said.startsWith("exit 0") ? "done" : "failed: " + said;
            }
            answers.println(answer);
            answers.flush();
        }
    }
}
