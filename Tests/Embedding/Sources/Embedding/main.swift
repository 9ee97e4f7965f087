import InferKit

let model = try GGUFLanguageModel(path: CommandLine.arguments[1])
let session = LanguageModelSession(model: model)
let answer = try await session.respond(to: "What is 17 + 25?", options: GenerationOptions(sampling: .greedy))
print(answer.content)
for try await piece in session.streamResponse(to: "Tell me a story about a fox.").deltas {
    print(piece, terminator: "")
}
