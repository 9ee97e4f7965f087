import ChatTemplates
import Foundation

/// Parts of messages that are not plain text, as far as a model that takes text only can be told of them.
///
/// Documents of text are text. A picture, a sound or a file in the newest message of the user is an error: the user asks
/// about it. Anywhere else – in what was said before, perhaps to another model, and in the results of tools – words stand
/// in its place, so that the conversation can go on.
enum Attachments {
    /// - Parameter messages: as they came, of any API; anything that is not a message with parts stays as it is.
    static func inWords(_ messages: [JSONValue]) throws(APIError) -> [JSONValue] {
        let newest = newestQuestion(messages)
        var result: [JSONValue] = []
        for (index, message) in messages.enumerated() {
            guard var object = message.objectValue else {
                result.append(message)
                continue
            }
            // Results of tools stand in `output` in the responses API.
            for name in ["content", "output"] {
                guard let parts = object[name]?.arrayValue else { continue }
                object[name] = .array(try inWords(parts, isNewest: index == newest, "messages[\(index)]"))
            }
            result.append(.object(object))
        }
        return result
    }

    /// The last message of the user, unless it has been answered.
    static func newestQuestion(_ messages: [JSONValue]) -> Int? {
        for (index, message) in messages.enumerated().reversed() {
            switch message["role"]?.stringValue {
            case "user":
                // In Anthropic's API results of tools are messages of the user.
                let parts = message["content"]?.arrayValue ?? []
                let areResults = parts.contains { $0["type"]?.stringValue == "tool_result" }
                if areResults, !parts.contains(where: { $0["type"]?.stringValue == "text" }) { return nil }
                return index
            case "assistant": return nil
            default: continue
            }
        }
        return nil
    }

    private static func inWords(_ parts: [JSONValue], isNewest: Bool, _ path: String) throws(APIError) -> [JSONValue] {
        var result: [JSONValue] = []
        for part in parts {
            switch part["type"]?.stringValue {
            case "tool_result":
                guard var object = part.objectValue, let content = object["content"]?.arrayValue else { break }
                object["content"] = .array(try inWords(content, isNewest: false, path))
                result.append(.object(object))
                continue
            case "document", "file", "input_file":
                result.append(text(try document(part, isNewest: isNewest, path)))
                continue
            case "search_result":
                result.append(text(searchResult(part)))
                continue
            case let type? where kinds[type] != nil:
                result.append(text(try placeholder(kinds[type] ?? type, isNewest: isNewest, path)))
                continue
            default: break
            }
            result.append(part)
        }
        return result
    }

    private static let kinds = [
        "image": "an image", "image_url": "an image", "input_image": "an image", "computer_screenshot": "an image",
        "input_audio": "audio", "audio": "audio", "video": "a video", "video_url": "a video",
        "container_upload": "a file",
    ]

    private static func text(_ text: String) -> JSONValue { ["type": "text", "text": .string(text)] }

    /// What stands in the place of something that cannot be read.
    static func placeholder(_ kind: String, isNewest: Bool, _ path: String) throws(APIError) -> String {
        guard !isNewest else {
            throw .invalid("\(path) holds \(kind); this model takes text only", param: "messages")
        }
        return "[\(kind) was here, which this model cannot see]"
    }

    /// Anthropic's `document`, OpenAI's `file` and `input_file`.
    private static func document(_ part: JSONValue, isNewest: Bool, _ path: String) throws(APIError) -> String {
        let title = (part["title"] ?? part["filename"] ?? part["file"]?["filename"])?.stringValue
        func titled(_ text: String) -> String { title.map { $0 + "\n\n" + text } ?? text }
        let source = part["source"]
        switch source?["type"]?.stringValue {
        case "text": return titled(source?["data"]?.stringValue ?? "")
        case "content":
            if let text = source?["content"]?.stringValue { return titled(text) }
            let inner = try inWords(source?["content"]?.arrayValue ?? [], isNewest: isNewest, path)
            return titled(inner.compactMap { $0["text"]?.stringValue }.joined(separator: "\n"))
        case "base64":
            let isText = source?["media_type"]?.stringValue?.hasPrefix("text/") ?? false
            if isText, let text = decoded(source?["data"]?.stringValue) { return titled(text) }
        default:
            let data = part["file_data"]?.stringValue ?? part["file"]?["file_data"]?.stringValue ?? ""
            if data.hasPrefix("data:text/"), let comma = data.firstIndex(of: ","), data[..<comma].hasSuffix(";base64"),
                let text = decoded(String(data[data.index(after: comma)...]))
            {
                return titled(text)
            }
        }
        return try placeholder(title.map { "the file \($0)" } ?? "a file", isNewest: isNewest, path)
    }

    private static func decoded(_ base64: String?) -> String? {
        base64.flatMap { Data(base64Encoded: $0) }.flatMap { String(validating: Array($0), as: UTF8.self) }
    }

    private static func searchResult(_ part: JSONValue) -> String {
        let head = [part["title"], part["source"]].compactMap { $0?.stringValue }
        let texts = (part["content"]?.arrayValue ?? []).compactMap { $0["text"]?.stringValue }
        return (head + texts).joined(separator: "\n")
    }
}
