import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";

import "./style.css";

export const metadata: Metadata = {
  title: "Habits",
  description: "What you do every day, and for how long you have kept it up.",
};

export const viewport: Viewport = {
  colorScheme: "light dark",
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#f7f6f2" },
    { media: "(prefers-color-scheme: dark)", color: "#14181a" },
  ],
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <main>{children}</main>
      </body>
    </html>
  );
}
