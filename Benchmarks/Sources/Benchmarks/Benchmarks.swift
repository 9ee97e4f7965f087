import CKernels
import Foundation

/// `Benchmarks [--quick] [--json] [--threads N] [--filter WORD] [--model FILE]`: the innermost loops one by one, each
/// as a share of what this machine can do, measured beside it.
@main
struct Benchmarks {
    static let usage = """
        usage: Benchmarks [--quick] [--json] [--threads N] [--filter WORD] [--model FILE]
          --quick        small sizes and few runs: shows that everything works, not how fast it is
          --json         print one JSON object per line instead of tables
          --threads N    threads that work at once (default: 1)
          --filter WORD  only what has WORD in its name: matmul, attention, delta, tokenizer, Q4_K, avx2, …
          --model FILE   the GGUF file whose tokenizer is measured (default: the one in models/)
        """

    static func main() {
        var options = Options()
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--quick": options.isQuick = true
            case "--json": options.isJSON = true
            case "--threads": options.threads = arguments.popFirst().flatMap { Int($0) } ?? 0
            case "--filter": options.filter = arguments.popFirst() ?? ""
            case "--model": options.model = arguments.popFirst()
            default: leave(argument == "--help" ? 0 : 64)
            }
        }
        guard 1...1024 ~= options.threads else { leave(64) }

        var harness = Harness(options)
        measureMatmul(&harness)
        measureAttention(&harness)
        measureDelta(&harness)
        measureTokenizer(&harness)
        if harness.count == 0 { leave(64) }
    }

    private static func leave(_ status: Int32) -> Never {
        FileHandle.standardError.write(Data((usage + "\n").utf8))
        exit(status)
    }
}

struct Options {
    var isQuick = false
    var isJSON = false
    var threads = 1
    var filter = ""
    var model: String?
}

/// The instruction sets of this machine, weakest first.
let instructionSets: [(isa: ck_isa, name: String)] = [
    (CK_ISA_SCALAR, "scalar"), (CK_ISA_AVX2, "avx2"), (CK_ISA_AVX512, "avx512"), (CK_ISA_NEON, "neon"),
    (CK_ISA_I8MM, "i8mm"),
].filter { ck_isa_available($0.0) != 0 }
