/// A line of text with a cursor, apart from any terminal.
package struct EditedLine: Equatable {
    package enum Edit: Equatable {
        case left, right, home, end, deleteBackward, deleteForward, deleteWord, deleteToStart, deleteToEnd
    }

    package private(set) var characters: [Character]
    /// The cursor stands before the character of this index.
    package private(set) var cursor: Int

    package init(_ characters: [Character] = []) {
        self.characters = characters
        cursor = characters.count
    }

    /// A combining mark joins the character before the cursor.
    package mutating func insert(_ text: String) {
        let before = Array(String(characters[..<cursor]) + text)
        characters = before + characters[cursor...]
        cursor = before.count
    }

    package mutating func deleteForward() {
        guard cursor < characters.count else { return }
        characters.remove(at: cursor)
    }

    package mutating func apply(_ edit: Edit) {
        switch edit {
        case .left: cursor = max(cursor - 1, 0)
        case .right: cursor = min(cursor + 1, characters.count)
        case .home: cursor = 0
        case .end: cursor = characters.count
        case .deleteBackward:
            guard cursor > 0 else { return }
            cursor -= 1
            characters.remove(at: cursor)
        case .deleteForward: deleteForward()
        case .deleteWord:
            var start = cursor
            while start > 0, characters[start - 1].isWhitespace { start -= 1 }
            while start > 0, !characters[start - 1].isWhitespace { start -= 1 }
            remove(start..<cursor)
        case .deleteToStart: remove(0..<cursor)
        case .deleteToEnd: characters.removeSubrange(cursor...)
        }
    }

    private mutating func remove(_ range: Range<Int>) {
        characters.removeSubrange(range)
        cursor = range.lowerBound
    }

    /// The part around the cursor that fits into `columns`, and the cursor's column in it.
    package func visible(columns: Int) -> (text: String, cursor: Int) {
        var first = cursor
        var width = 0
        while first > 0, width + Self.width(characters[first - 1]) <= columns {
            first -= 1
            width += Self.width(characters[first])
        }
        let cursorColumn = width
        var end = cursor
        while end < characters.count, width + Self.width(characters[end]) <= columns {
            width += Self.width(characters[end])
            end += 1
        }
        return (String(characters[first..<end].map(Self.shown)), cursorColumn)
    }

    /// A line break within the line is shown as a sign, control characters as a box.
    private static func shown(_ character: Character) -> Character {
        if character.isNewline { return "↵" }
        guard let scalar = character.unicodeScalars.first, scalar.properties.generalCategory == .control else {
            return character
        }
        return "□"
    }

    /// Columns on a terminal: two for East Asian wide characters and emoji (Unicode Standard Annex 11, in ranges).
    package static func width(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default:
            return 1
        }
    }
}
