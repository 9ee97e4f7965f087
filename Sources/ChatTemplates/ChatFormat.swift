/// One message of a conversation, as a model sees it.
package struct ChatMessage: Sendable, Equatable {
    package enum Role: String, Sendable { case system, user, assistant }

    package var role: Role
    package var content: String

    package init(_ role: Role, _ content: String) {
        self.role = role
        self.content = content
    }
}

/// How a model wants a conversation written.
package protocol ChatFormat: Sendable {
    var name: String { get }
    /// The prompt text, control tokens written out, up to where the next answer starts.
    func prompt(for messages: [ChatMessage]) throws -> String
}

/// `<|im_start|>role\n…<|im_end|>\n`, the format of Qwen and many others (OpenAI, "ChatML", 2023).
package struct ChatML: ChatFormat {
    package let name = "chatml"

    package init() {}

    package func prompt(for messages: [ChatMessage]) -> String {
        messages.map { "<|im_start|>\($0.role.rawValue)\n\($0.content)<|im_end|>\n" }.joined()
            + "<|im_start|>assistant\n"
    }
}

/// The format of Llama 3 (Meta, "Llama 3 model card", prompt format).
package struct Llama3Format: ChatFormat {
    package let name = "llama3"

    package init() {}

    package func prompt(for messages: [ChatMessage]) -> String {
        func header(_ role: ChatMessage.Role) -> String {
            "<|start_header_id|>\(role.rawValue)<|end_header_id|>\n\n"
        }
        return messages.map { header($0.role) + $0.content + "<|eot_id|>" }.joined() + header(.assistant)
    }
}

/// The formats that are known without interpreting a template.
package enum ChatFormats {
    package static let all: [any ChatFormat] = [ChatML(), Llama3Format()]

    package static func named(_ name: String) -> (any ChatFormat)? { all.first { $0.name == name } }

    /// The format that the Jinja template of a model file writes, by the control tokens it mentions.
    package static func recognized(in template: String) -> (any ChatFormat)? {
        // The longer text first: a template without it cannot hold the whole format.
        if template.contains("<|im_start|>") { return ChatML() }
        if template.contains("<|start_header_id|>") { return Llama3Format() }
        return nil
    }
}
